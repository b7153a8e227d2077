"""One update after the other: sessions, their memory, prefixes of a recording."""
