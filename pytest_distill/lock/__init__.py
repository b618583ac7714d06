"""The lock: what was accepted, with the numbers to judge it again; and what has changed since."""

from pytest_distill.lock.changes import Change as Change
from pytest_distill.lock.changes import Ran as Ran
from pytest_distill.lock.changes import between_locks as between_locks
from pytest_distill.lock.changes import changes as changes
from pytest_distill.lock.changes import in_words as in_words
from pytest_distill.lock.entry import BASE as BASE
from pytest_distill.lock.entry import FACTS as FACTS
from pytest_distill.lock.entry import entry as entry
from pytest_distill.lock.entry import plain as plain
from pytest_distill.lock.entry import rebuild as rebuild
from pytest_distill.lock.file import NAME as NAME
from pytest_distill.lock.file import Lock as Lock
from pytest_distill.lock.file import file_of as file_of
from pytest_distill.lock.file import read as read
from pytest_distill.lock.file import write as write
