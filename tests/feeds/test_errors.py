"""How a wrong name is answered."""

from feeds.errors import nearest


def test_the_nearest_name_is_told_else_those_that_a_line_holds() -> None:
    assert nearest("Pnog", ["Pong", "Breakout"]) == "did you mean 'Pong'?"
    assert nearest("a3c", ["a2c", "sac"]) == "did you mean 'a2c'?"  # as near as the other, but they begin alike
    assert nearest("x", ["b", "a"]) == "known are: a, b"
    assert nearest("x", []) == "none is known"
    many = nearest("x", [f"name{i:04}" for i in range(1000)])
    assert many.endswith("name0039, … (1000 in all)")
    assert len(many) < 500
