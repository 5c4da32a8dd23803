"""What is drawn: whole on 80 x 24, never wider or longer than the terminal."""

from pathlib import Path
from typing import Any

import pytest

from support import make_ended, make_experiment, make_record, make_report, make_spec
from sweep.live.board import Board
from sweep.live.picture import Picture, Standing
from sweep.live.view import draw
from sweep.trial import Event, State

LONGEST = (
    "name=a-name-that-somebody-has-thought-about-for-a-while",
    "model.weight_scale={float: [1e-4, 1e-1]}",
    "model.reg={float: [1e-7, 1e-2]}",
)


def picture(folder: Path, lanes: int, warnings: int = 0) -> Picture:
    """A sweep in the middle: twelve trials have ended, so many are in training."""
    experiment = make_experiment(folder, "study.trials=64", *LONGEST)
    board = Board(experiment, 0)
    hparams: dict[str, Any] = {
        "weight_scale": 1.23456e-4,
        "reg": 1.5e-7,
        "hidden_dim": 1024,
    }
    for number in range(12 + lanes):
        board.take(Event(0, make_spec(number, **hparams, num_epochs=1000)))
        board.take(Event(1000, make_report(number, 1, 0.1)))
        board.take(Event(2000, make_report(number, 2, 0.6)))
        if number < 12:
            record = make_record(number, State.COMPLETE, 0.5 + number / 100)
            board.take(Event(2000, make_ended(number), record))
    for number in range(warnings):
        board.warn(0, f"warning {number} " + "with all that there is to say " * 9)
    return board.picture(60_000)


def lines(
    picture: Picture, width: int, height: int, is_ascii: bool = False
) -> list[str]:
    drawn = draw(picture, width, height, is_ascii=is_ascii)
    return [text.plain.rstrip() for text in drawn]


def test_80_by_24_shows_lanes_the_ten_best_and_what_ended_last(tmp_path: Path) -> None:
    """Every searched setting of the best is there, with the longest names."""
    shown = lines(picture(tmp_path, lanes=4), 80, 24)

    assert "12 of 64 trials  12 COMPLETE" in shown[0]
    assert shown[1].startswith("1 min 00 s gone, about ")
    assert shown[2].startswith("12 trials/min   32 epochs/min   1 worker busy ")
    assert shown[5].split() == ["0012", "2/1000", "0.6000", "█", "node/1:2"]
    head, *best = shown[10:21]
    assert head.split() == [
        *("best", "state", "accuracy", "epoch"),
        *("hidden_dim", "weight_scale", "reg", "learning_rate"),
    ]
    assert [row.split()[0] for row in best] == [f"{n:04d}" for n in range(11, 1, -1)]
    assert best[0].split()[2:] == ["0.6100", "1", *("8", "0.1", "0", "0.1")]
    assert shown[22] == "ended last"
    assert shown[23].startswith("trial 0011  COMPLETE  0.6100")


def test_200_columns_have_room_for_the_settings_of_a_lane(tmp_path: Path) -> None:
    """And 50 lines for every trial that ended."""
    shown = lines(picture(tmp_path, lanes=4), 200, 50)

    assert "hidden_dim=1024 weight_scale=0.000123 reg=1.5e-07" in shown[5]
    assert sum(text.startswith("trial 00") for text in shown) == 12


def test_64_lanes_in_24_lines_are_those_that_fit_and_how_many_more(
    tmp_path: Path,
) -> None:
    """The best trials keep half of the lines."""
    shown = lines(picture(tmp_path, lanes=64), 80, 24)

    [more] = [text for text in shown if "more" in text]
    in_training = shown[5 : shown.index(more)]
    assert more.strip() == f"and {64 - len(in_training)} more"
    assert all("2/1000" in text for text in in_training)
    best = next(n for n, text in enumerate(shown) if text.startswith("  best"))
    assert all("COMPLETE" in text for text in shown[best + 1 : best + 8])


def test_nothing_moves_as_the_list_of_the_best_grows(tmp_path: Path) -> None:
    """Its rows are there before the trials are."""
    experiment = make_experiment(tmp_path, "study.trials=64")
    board = Board(experiment, 0)
    places = []
    for number in range(12):
        board.take(Event(0, make_spec(number)))
        shown = lines(board.picture(1000), 80, 24)
        places.append([shown.index("ended last"), len(shown)])
        record = make_record(number, State.COMPLETE, number / 100)
        board.take(Event(1000, make_ended(number), record))

    assert places == [places[0]] * 12


def test_the_newest_warning_is_at_the_bottom_and_the_last_few_above(
    tmp_path: Path,
) -> None:
    """They do not scroll away; a long one has three lines at most."""
    few = lines(picture(tmp_path, lanes=2, warnings=2), 200, 50)
    assert [text[10:19] for text in few if "warning" in text] == [
        "warning 0",
        "warning 1",
    ]

    many = lines(picture(tmp_path, lanes=2, warnings=30), 80, 24)
    assert "warning 29" in many[-3]
    assert many[-1].startswith(" " * 10)


@pytest.mark.parametrize("is_ascii", [False, True])
@pytest.mark.parametrize(
    ("width", "height"), [(80, 24), (200, 50), (60, 12), (20, 5), (1, 1)]
)
@pytest.mark.parametrize(("lanes", "warnings"), [(0, 0), (4, 3), (64, 30)])
def test_a_drawing_has_exactly_the_terminal_s_size(
    tmp_path: Path, width: int, height: int, lanes: int, warnings: int, is_ascii: bool
) -> None:
    """However small that is; and in letters that the terminal has."""
    shown = lines(picture(tmp_path, lanes, warnings), width, height, is_ascii=is_ascii)

    assert len(shown) == height
    assert max(map(len, shown)) <= width
    assert not is_ascii or all(text.isascii() for text in shown)


def test_a_command_that_is_told_can_be_pasted(tmp_path: Path) -> None:
    """On as many lines as it takes, which a shell takes as one."""
    command = "python -m sweep run file.yaml" + " --set study.trials=64" * 5
    standing = Standing("Nobody runs it now. To go on:", command)
    drawn = draw(picture(tmp_path, lanes=4), 80, 24, standing=standing)
    shown = [text.plain.rstrip() for text in drawn]

    assert shown[1] == "Nobody runs it now. To go on:"
    told = "\n".join(shown[2:4])
    assert told.replace("\\\n", "").split() == command.split()
    assert len(shown) == 24
