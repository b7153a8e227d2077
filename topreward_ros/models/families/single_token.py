"""A text that must be one token, so that its probability can be read."""

from __future__ import annotations

from transformers import PreTrainedTokenizerBase


def single_token(tokenizer: PreTrainedTokenizerBase, text: str) -> int:
    """Returns the id of a text that must be exactly one token.

    Raises:
        ValueError: the tokenizer splits the text, or does not know it.
    """
    ids = tokenizer.encode(text, add_special_tokens=False)
    if len(ids) != 1 or ids[0] == tokenizer.unk_token_id or tokenizer.decode(ids) != text:
        raise ValueError(
            f"The tokenizer of this checkpoint makes {len(ids)} tokens ({ids}) of {text!r}; "
            "exactly one is needed to read its probability. Use a checkpoint of a supported "
            "family with its own tokenizer."
        )
    return ids[0]
