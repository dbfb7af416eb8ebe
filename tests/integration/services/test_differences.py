"""What is written down about each service is what it does: a new version of it must not change that unseen."""

import importlib
import re

from tests.integration.services import conditions, content, keys
from tests.integration.services.place import QUESTIONS, Place
from tests.support.storage.services.service import Service

ASKED = (conditions, content, keys)
_ROW = re.compile(r"^    (.+?) \| (.+?) \| (.+)$", re.MULTILINE)


def test_every_question_has_a_name_of_its_own() -> None:
    names = [question.name for question in QUESTIONS]
    assert len(names) == len(set(names)) > 90


def test_a_service_differs_from_s3_where_its_module_says_so(service: Service) -> None:
    module = importlib.import_module(f"tests.support.storage.services.{service.name}")
    told = {name: (s3, here) for name, s3, here in _ROW.findall(module.__doc__ or "")}
    at = Place(service, service.client(), service.new_bucket())
    answers = {question.name: (question.s3, question.ask(at)) for question in QUESTIONS}
    seen = {name: (s3, here) for name, (s3, here) in answers.items() if s3 != here}
    assert seen == told
