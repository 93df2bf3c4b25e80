"""POST /notes/ as a published comparison had it, and from there step by step to what app.py does (DB=…).

Each rung is the last one but for what it names; the statements are what one request costs the database.

DB                 what is different                                             statements
orm                session from a generator dependency, add, commit, refresh;    BEGIN INSERT COMMIT
                   SQLAlchemy's default pool of 5, and 10 more under load        BEGIN SELECT ROLLBACK
orm-pool           a fixed pool of DB_POOL connections                           the same
orm-no-refresh     the row is not read again                                     BEGIN INSERT COMMIT
orm-no-generator   the session is opened in the endpoint, not in a dependency    the same
orm-one-statement  autocommit                                                    INSERT
plain              psycopg2 without the ORM: app.py                              INSERT
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Annotated

import psycopg2
from fastapi import Depends, Response
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

from contract import Body, Note, NoteText, answer
from settings import DATABASE_URL, SETTINGS
from timing import phase

POOL_WAIT = 5  # seconds for a database connection to be made or to become free


@dataclass(frozen=True)
class Rung:
    """What one choice of DB does."""

    pool_size: int = 5
    max_overflow: int = 10
    refresh: bool = True
    generator: bool = True
    autocommit: bool = False


ORM = Rung()
POOL = replace(ORM, pool_size=SETTINGS["db_pool"], max_overflow=0)
NO_REFRESH = replace(POOL, refresh=False)
NO_GENERATOR = replace(NO_REFRESH, generator=False)
ONE_STATEMENT = replace(NO_GENERATOR, autocommit=True)

RUNGS = {
    "orm": ORM,
    "orm-pool": POOL,
    "orm-no-refresh": NO_REFRESH,
    "orm-no-generator": NO_GENERATOR,
    "orm-one-statement": ONE_STATEMENT,
}
RUNG = RUNGS[SETTINGS["db"]]


class Base(DeclarativeBase):
    """What the tables' classes share."""


class NoteRow(Base):
    """A row of the table."""

    __tablename__ = "notes"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    description: Mapped[str]


def connect() -> psycopg2.extensions.connection:
    """A new connection."""
    return psycopg2.connect(DATABASE_URL, connect_timeout=POOL_WAIT)


engine = create_engine(
    "postgresql+psycopg2://",
    creator=connect,
    pool_size=RUNG.pool_size,
    max_overflow=RUNG.max_overflow,
    pool_timeout=POOL_WAIT,
    isolation_level="AUTOCOMMIT" if RUNG.autocommit else None,
)
# After a commit a session forgets its rows, and would read one again to tell its id.
open_session = sessionmaker(engine, expire_on_commit=RUNG.refresh)


def get_session() -> Iterator[Session]:
    """A session for one request; its connection is given back when the response has been sent."""
    with open_session() as session:
        yield session


def insert(session: Session, text: NoteText) -> Note:
    """Inserts a note."""
    with phase("db"):
        row = NoteRow(title=text.title, description=text.description)
        session.add(row)
        session.commit()
        if RUNG.refresh:
            session.refresh(row)
        return Note(id=row.id, title=row.title, description=row.description)


def created(note: Note, response: Response) -> Note:
    """The answer."""
    response.status_code = 201
    response.headers["Location"] = f"/notes/{note.id}"
    return answer(note, response)


def create_with_dependency(text: Body, response: Response, session: Annotated[Session, Depends(get_session)]) -> Note:
    """The endpoint with the generator."""
    return created(insert(session, text), response)


def create(text: Body, response: Response) -> Note:
    """The endpoint without it."""
    with open_session() as session:
        note = insert(session, text)
    return created(note, response)


create_note: Callable[..., Note] = create_with_dependency if RUNG.generator else create
