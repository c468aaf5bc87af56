"""The server-rendered review console."""
