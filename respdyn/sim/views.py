"""Views: which other nodes each node holds for up, as `sim/sessions` judges by."""

from respdyn.sim.host import UP, Host
from respdyn.sim.world import World

# When each link of a node has last changed, all of them being up; with the node's life.
View = tuple[int, ...]


def view_of(world: World, host: Host | None) -> View | None:
    """How a host sees the others, if it sees all of them."""
    if host is None or host.node is None or host.state != UP:
        return None
    links = host.node.links
    found = [host.life]
    for other in world.hosts:
        if other is not host:
            link = links.get(other.settings.node_id)
            if link is None or not link.is_up:
                return None
            found.append(link.changed_ms)
    return tuple(found)


def calm_of(world: World) -> tuple[View, ...] | None:
    """How all hosts see each other, if none is down for another."""
    views = []
    for host in world.hosts:
        view = view_of(world, host)
        if view is None:
            return None
        views.append(view)
    return tuple(views)


def calm_since_us(world: World) -> int:
    """Since when no host is down for another, if that is so now."""
    youngest_ms = min(
        host.node.now_ms - link.changed_ms
        for host in world.hosts if host.node is not None for link in host.node.links.values()
    )
    return world.now_us - 1_000 * youngest_ms
