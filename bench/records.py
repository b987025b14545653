"""Results of a benchmark that is no comparison of models: a JSON object a line,
written as they come, the first of which says where and of what sources."""

import json
import time

import observe

TIME = "%Y-%m-%d %H:%M:%S %z"


class Records:
    """Without a path nothing is kept. Raises OSError."""

    def __init__(self, path):
        self._file = open(path, "x", encoding="utf-8") if path else None
        self.write(
            machine=observe.describe_machine(),
            commit=observe.commit(),
            began=time.strftime(TIME),
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._file:
            self._file.close()

    def write(self, **fields):
        if self._file:
            self._file.write(json.dumps(fields) + "\n")
            self._file.flush()
