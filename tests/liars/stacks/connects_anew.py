"""Opens a database session for every statement."""

import app


async def fetch_rows(sql, *args):
    connection = await app.asyncpg.connect(app.DATABASE_URL)
    try:
        return await connection.fetch(sql, *args)
    finally:
        await connection.close()


app.fetch_rows = fetch_rows
