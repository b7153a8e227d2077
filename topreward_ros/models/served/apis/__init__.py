"""Models behind a chat API, asked by the clients of those who offer them (extra `apis`)."""
