"""Flask: a session that every web process finds at its own node, and a cache in front of work."""

import redis
from flask import Flask, session
from flask_caching import Cache
from flask_session import Session


def _shop(url: str) -> Flask:
    """A web process; each has a node of its own."""
    app = Flask("shop")
    app.config.update(
        SESSION_TYPE="redis", SESSION_REDIS=redis.Redis.from_url(url), SECRET_KEY="shop",
        CACHE_TYPE="RedisCache", CACHE_REDIS_URL=url, CACHE_KEY_PREFIX="shop:",
    )
    Session(app)
    cache = Cache(app)
    worked: list[int] = []

    @app.post("/cart/<thing>")
    def put(thing: str) -> str:
        session["cart"] = [*session.get("cart", []), thing]
        return "ok"

    @app.get("/cart")
    def show() -> list[str]:
        return session.get("cart", [])

    @app.get("/logout")
    def leave() -> str:
        session.clear()
        return "bye"

    @app.get("/price/<int:number>")
    def price(number: int) -> list[int]:
        return [_price(number), len(worked)]

    @cache.memoize(timeout=60)
    def _price(number: int) -> int:
        worked.append(number)
        return number * 100

    @app.get("/sale")
    def sale() -> str:
        cache.clear()
        return "all prices anew"

    return app


def test_a_session_is_found_at_every_node(urls: list[str]) -> None:
    shops = [_shop(url).test_client() for url in urls]
    shops[0].post("/cart/pen")
    cookie = shops[0].get_cookie("session")
    assert cookie is not None
    for number, shop in enumerate(shops[1:], 1):
        shop.set_cookie("session", cookie.value)
        assert len(shop.get("/cart").json) == number
        shop.post("/cart/book")
    assert shops[0].get("/cart").json == ["pen", "book", "book"]
    stranger = _shop(urls[0]).test_client()
    assert stranger.get("/cart").json == []
    shops[2].get("/logout")
    assert shops[0].get("/cart").json == []


def test_a_session_expires_by_itself(urls: list[str], nodes: list[tuple[str, int]]) -> None:
    shop = _shop(urls[1]).test_client()
    shop.post("/cart/pen")
    client = redis.Redis(*nodes[2])
    (key,) = client.scan_iter(match="session:*")
    assert 0 < client.ttl(key) <= 31 * 24 * 3600


def test_work_is_done_once_for_all_processes(urls: list[str]) -> None:
    shops = [_shop(url).test_client() for url in urls]
    assert shops[0].get("/price/7").json == [700, 1]
    assert shops[1].get("/price/7").json == [700, 0]
    assert shops[1].get("/price/8").json == [800, 1]
    assert shops[0].get("/price/8").json == [800, 1]
    shops[2].get("/sale")
    assert shops[1].get("/price/7").json == [700, 2]
