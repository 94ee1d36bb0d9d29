"""A typical implementation of the same two doors, to measure against: FastAPI, Pydantic, SQLAlchemy's asyncio ORM."""
