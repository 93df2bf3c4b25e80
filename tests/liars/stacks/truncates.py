"""Leaves the last byte of one body in a thousand out."""

import itertools

import app

answer = app.answer
numbers = itertools.count(1)


def cut(item, response=None):
    if next(numbers) % 1000:
        return answer(item, response)
    return app.Response(app.orjson.dumps(item)[:-1], media_type="application/json")


app.answer = cut
