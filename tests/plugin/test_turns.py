"""One thing at a time."""

from __future__ import annotations

import pytest

from napari_dinomed.plugin.turns import Turns


@pytest.fixture
def turns(loop):
    return Turns(loop.deliver)


def test_what_is_held_is_done_afterwards_in_order(turns, loop):
    done = []
    with turns.held():
        turns.run(lambda: done.append(1))
        turns.soon(lambda: done.append(2))
        loop.run()
        with turns.held():
            turns.run(lambda: done.append(3))
        assert not done
    assert done == [1, 2, 3]


def test_what_is_held_is_done_where_the_holder_fails(turns):
    done = []

    def fail():
        with turns.held():
            turns.run(lambda: done.append(1))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert done == [1]


def test_what_is_held_at_the_end_is_not_done(turns):
    done = []
    with turns.held():
        turns.run(lambda: done.append(1))
        turns.end()
    assert not done
