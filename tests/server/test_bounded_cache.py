"""The cache of heads, blocks and values: what stays in it, whatever else is offered."""

from __future__ import annotations

from seldon_spec.transport.bounded_cache import BoundedCache


def offer_twice(cache: BoundedCache[str], key: bytes, size: int = 1) -> bool:
    cache.offer(key, key.decode(), size)
    return cache.offer(key, key.decode(), size)


def test_an_entry_needs_a_second_offer() -> None:
    cache: BoundedCache[str] = BoundedCache(4, 100)
    assert not cache.offer(b"a", "a", 1)
    assert cache.get(b"a") is None
    assert cache.offer(b"a", "a", 1)
    assert cache.get(b"a") == "a"


def test_a_flood_of_new_keys_evicts_nothing() -> None:
    cache: BoundedCache[str] = BoundedCache(4, 100)
    assert offer_twice(cache, b"good")
    for number in range(10_000):
        assert not cache.offer(b"%d" % number, "bad", 1)
    assert cache.get(b"good") == "good"
    assert len(cache) == 1


def test_a_key_that_is_used_stays_though_others_are_offered_twice() -> None:
    cache: BoundedCache[str] = BoundedCache(4, 100)
    assert offer_twice(cache, b"good")
    for number in range(1000):
        assert offer_twice(cache, b"%d" % number)
        assert cache.get(b"good") == "good"
        assert len(cache) <= 4
    assert b"998" in cache
    assert b"990" not in cache


def test_the_bytes_are_bounded() -> None:
    cache: BoundedCache[str] = BoundedCache(100, 10)
    for key in (b"a", b"b", b"c"):
        assert offer_twice(cache, key, 4)
    assert [key in cache for key in (b"a", b"b", b"c")] == [False, True, True]
    assert not offer_twice(cache, b"huge", 11)
    assert [key in cache for key in (b"b", b"c", b"huge")] == [True, True, False]
