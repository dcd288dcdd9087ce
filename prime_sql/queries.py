"""`python -m prime_sql.queries` prints the list of SQL files; see `prime_sql.engine.queries`."""

from prime_sql.engine.queries import find, question, questions, readme

__all__ = ["find", "question", "questions"]

if __name__ == "__main__":
    print(readme())
