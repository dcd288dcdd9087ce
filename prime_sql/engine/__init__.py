"""The one seam to an engine: SQL files, sessions, databases, sources, options and errors."""
