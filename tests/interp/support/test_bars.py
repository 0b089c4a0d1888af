"""Progress where stderr is no terminal: a line now and then, none of short work."""

from interp.support import bars


def test_a_line_now_and_then(monkeypatch, capsys):
    clock = [0.0]
    monkeypatch.setattr(bars.time, "monotonic", lambda: clock[0])
    lines = bars.Lines()
    lines.begin(200, "pairs")
    for _ in range(200):
        clock[0] += 0.25
        lines.step()
    lines.begin(4, "figures")
    assert capsys.readouterr().err.splitlines() == [
        "pairs: 20 % (10 s)",
        "pairs: 40 % (20 s)",
        "pairs: 60 % (30 s)",
        "pairs: 80 % (40 s)",
        "pairs: 100 % (50 s)",
    ]


def test_short_work_is_silent(capsys):
    with bars.progress_bar() as progress:
        progress.begin(5, "lists")
        progress.step(5)
    assert capsys.readouterr().err == ""
