"""Options that several verbs share."""

from __future__ import annotations

import pytest

from kaname.cli._options import edges_of
from kaname.core.errors import InputError


def test_bounds_are_west_south_east_north():
    assert edges_of("-117,33,-116.5,34") == (-117, 33, -116.5, 34)


@pytest.mark.parametrize(
    ("bounds", "said"),
    [
        ("1,2,3", "takes 4 numbers"),
        ("1,2,3,north", "takes 4 numbers"),
        ("-117,-116,33,34", "Then give --bounds=-117,33,-116,34"),
        ("10,45,10,46", "west must be below east"),
        ("10,46,11,45", "south below north"),
        ("10,45,11,91", "within -90 and 90"),
        ("10,45,nan,46", "west must be below east"),
        ("170,-40,190,-30", "within -180 and 180"),
    ],
)
def test_bounds_that_make_no_sense_are_refused(bounds, said):
    with pytest.raises(InputError, match=said):
        edges_of(bounds)
