"""Answer contracts: what a reply may be, and how right it is."""

from pytest_distill.answers.comparers import AsSet as AsSet
from pytest_distill.answers.comparers import Exact as Exact
from pytest_distill.answers.comparers import Near as Near
from pytest_distill.answers.comparers import RougeL as RougeL
from pytest_distill.answers.comparers import Tokens as Tokens
from pytest_distill.answers.contract import Answer as Answer
from pytest_distill.answers.contract import Grade as Grade
from pytest_distill.answers.contract import Malformed as Malformed
from pytest_distill.answers.json import Json as Json
from pytest_distill.answers.labels import Labels as Labels
from pytest_distill.answers.text import Text as Text
from pytest_distill.answers.tool_call import ToolCall as ToolCall
