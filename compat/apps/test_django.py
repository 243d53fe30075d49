"""Django's own Redis cache, sessions kept in it, django-redis, and django-ratelimit."""

import django
import pytest
from conftest import NODES, Outages
from django.conf import settings

URLS = [f"redis://{host}:{port}/1" for host, port in NODES]
CACHE = "django.core.cache.backends.redis.RedisCache"

settings.configure(
    SECRET_KEY="django", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, USE_TZ=True,
    CACHES={
        # The default one knows all nodes: it writes to the first and reads from the others.
        "default": {"BACKEND": CACHE, "LOCATION": URLS},
        **{f"node{number}": {"BACKEND": CACHE, "LOCATION": url}
           for number, url in enumerate(URLS)},
        **{f"django-redis{number}": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": url}
           for number, url in enumerate(URLS)},
    },
    SESSION_ENGINE="django.contrib.sessions.backends.cache",
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"],
    SILENCED_SYSTEM_CHECKS=["django_ratelimit.E003", "django_ratelimit.W001"],
)
django.setup()

from django.core.cache import cache, caches  # noqa: E402
from django.http import HttpRequest, HttpResponse  # noqa: E402
from django.test import Client  # noqa: E402
from django.urls import path  # noqa: E402
from django_ratelimit.core import is_ratelimited  # noqa: E402


def visit(request: HttpRequest) -> HttpResponse:
    request.session["visits"] = request.session.get("visits", 0) + 1
    return HttpResponse(str(request.session["visits"]))


def leave(request: HttpRequest) -> HttpResponse:
    request.session.flush()
    return HttpResponse("bye")


def limited(request: HttpRequest) -> HttpResponse:
    refused = is_ratelimited(request, group="limited", key="ip", rate="5/h", increment=True)
    return HttpResponse("slower" if refused else "ok", status=429 if refused else 200)


urlpatterns = [path("visit", visit), path("leave", leave), path("limited", limited)]


@pytest.fixture(autouse=True)
def empty(nodes: list[tuple[str, int]]) -> None:
    """Each test has it for itself."""


def test_what_one_node_was_sent_another_knows() -> None:
    one, two, three = (caches[f"node{number}"] for number in range(3))
    one.set("a", {"deep": [1, 2]}, 100)
    assert two.get("a") == {"deep": [1, 2]}
    assert three.add("a", "other") is False and three.add("b", 7) is True
    assert one.incr("b") == 8 and two.decr("b", 3) == 5 and three.get("b") == 5
    two.set_many({"c": 1, "d": 2, "e": 3}, 100)
    assert one.get_many(["c", "d", "e", "none"]) == {"c": 1, "d": 2, "e": 3}
    assert three.touch("c", 200) is True and three.touch("none") is False
    assert one.get_or_set("f", lambda: "made", 50) == "made"
    assert two.delete("a") is True and one.get("a") is None and three.has_key("b")
    two.delete_many(["c", "d"])
    assert one.get_many(["c", "d", "e"]) == {"e": 3}
    three.clear()
    assert one.get("e") is None and two.get("b") is None


def test_a_cache_that_reads_from_the_other_nodes() -> None:
    for number in range(50):
        cache.set("k", number)
        assert cache.get("k") == number


def test_a_number_that_is_no_number_is_an_error() -> None:
    with pytest.raises(ValueError):
        cache.incr("none")


def test_a_session_over_several_requests() -> None:
    client = Client()
    assert [client.get("/visit").content for _ in range(3)] == [b"1", b"2", b"3"]
    assert Client().get("/visit").content == b"1"
    client.get("/leave")
    assert client.get("/visit").content == b"1"


def test_the_sixth_request_within_the_hour_is_refused() -> None:
    client = Client()
    found = [client.get("/limited").status_code for _ in range(7)]
    assert found == [200] * 5 + [429] * 2


def test_all_that_django_redis_adds() -> None:
    one, two, three = (caches[f"django-redis{number}"] for number in range(3))
    one.set("k", {"x": 1}, timeout=100)
    assert two.get("k") == {"x": 1} and 0 < three.ttl("k") <= 100 and one.pttl("k") > 0
    assert one.persist("k") and two.ttl("k") is None and three.expire("k", 50)
    one.set_many({f"m{number}": number for number in range(20)})
    assert two.get_many([f"m{number}" for number in range(20)])["m7"] == 7
    assert sorted(three.keys("m*")) == sorted(one.iter_keys("m*"))
    assert two.delete_pattern("m*") == 20
    assert one.set("nx", 1, nx=True) and not two.set("nx", 2, nx=True)
    one.set("n", 1)
    assert two.incr("n") == 2 and three.decr("n") == 1 and one.incr("n", 10) == 11
    with pytest.raises(ValueError):
        one.incr("none")
    with one.lock("lock", timeout=5):
        assert not two.lock("lock", timeout=5).acquire(blocking=False)
    assert one.sadd("s", 1, 2, 3) == 3 and two.smembers("s") == {1, 2, 3}
    three.clear()
    assert one.get("k") is None


def test_sessions_go_on_while_a_node_is_killed(outages: Outages) -> None:
    """Each visit is counted once: Django writes a session that it has read."""
    cache0, cache2 = caches["django-redis0"], caches["django-redis2"]
    for number in range(60):
        if number == 15:
            outages.kill(1)
        if number == 40:
            outages.restart(1)
        here, there = (cache0, cache2) if number % 2 else (cache2, cache0)
        assert here.get("visits", 0) == number
        there.set("visits", number + 1, 1000)
