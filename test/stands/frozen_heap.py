"""Once imported, what is there already is never looked through for garbage again.

Torch and transformers leave a million objects, and whoever frees a model collects its garbage: that
was half of what many tests took.
"""

import gc

gc.collect()
gc.freeze()
