"""Fixed examples by default, so that a red run is red again; `--hypothesis-seed=N` tries others."""

from tests.laws import profile

profile.load()
