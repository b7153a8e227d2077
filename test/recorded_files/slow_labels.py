"""The command `label`, whose bag takes long to write and whose CSV is never begun: to be killed."""

import sys
import time
from typing import Any

from topreward_ros.offline import label
from topreward_ros.offline.labelling import bag_copy, whole_set

_write = bag_copy.Writer.write


def _slowly(*given: Any) -> None:
    time.sleep(0.002)
    _write(*given)


def _wait(*_: Any, **__: Any) -> None:
    time.sleep(30)


if __name__ == "__main__":
    bag_copy.Writer.write, whole_set.write_csv = _slowly, _wait
    sys.exit(label.main(sys.argv[1:]))
