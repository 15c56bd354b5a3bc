"""The saved view is written once, mended while it is ours, and left alone once it is a person's."""

import base64
import json
import zlib

from mlflow_clfaudit.saved_view import TAG, WIDTHS, to_write


def test_the_view_is_what_mlflow_reads() -> None:
    written = to_write({}, 5)
    assert written is not None
    view = json.loads(written)
    assert (view["name"], view["createdAt"], view["updatedAt"]) == ("clfaudit", 5, 5)
    form, _, packed = view["state"].partition(";")
    state = json.loads(zlib.decompress(base64.b64decode(packed)))
    assert form == "deflate"
    assert state["selectedColumns"] == [
        "tags.`clfaudit.verdict`",
        "tags.`clfaudit.root_cause`",
        "tags.`clfaudit.severity`",
        "tags.`clfaudit.review`",
        "metrics.`clfaudit/balanced_accuracy`",
        "attributes.`Models`",
    ]
    assert state["columnOrder"] == list(WIDTHS)
    assert state["columnWidths"] == WIDTHS
    assert (state["orderByKey"], state["orderByAsc"]) == ("metrics.`clfaudit/severity`", False)


def test_a_view_that_is_current_is_not_written_again() -> None:
    written = to_write({}, 5)
    assert written is not None
    assert to_write({TAG: written}, 6) is None


def test_an_older_view_of_ours_is_renewed() -> None:
    written = to_write({}, 5)
    assert written is not None
    older = json.dumps(json.loads(written) | {"state": "deflate;older"})
    renewed = to_write({TAG: older}, 6)
    assert renewed is not None
    assert json.loads(renewed)["createdAt"] == 6


def test_what_a_person_saved_is_theirs() -> None:
    written = to_write({}, 5)
    assert written is not None
    theirs = {key: value for key, value in json.loads(written).items() if key != "writtenBy"} | {"state": "deflate;x"}
    assert to_write({TAG: json.dumps(theirs)}, 6) is None
    assert to_write({TAG: "not JSON"}, 6) is None
    assert to_write({TAG: "[1]"}, 6) is None
