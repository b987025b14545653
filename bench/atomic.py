"""Writes a text to a file wholly or not at all."""

import os
import pathlib


def write(path, text):
    """What is there stays as it is until the text is on the disk. Raises
    OSError."""
    path = pathlib.Path(os.path.realpath(path))
    new = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(new, "x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            os.chmod(new, path.stat().st_mode)
        os.replace(new, path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    finally:
        new.unlink(missing_ok=True)
