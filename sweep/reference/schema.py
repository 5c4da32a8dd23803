"""The JSON Schema of an experiment's YAML, for editors to complete and check it."""

import json
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from sweep.experiment import Experiment
from sweep.json_schema import Schema


class _WithoutTitles(GenerateJsonSchema):
    """A key is its own title."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Never."""
        del schema
        return False


def experiment_schema() -> Schema:
    """The schema of the whole file, in the dialect of 2020-12."""
    schema = Experiment.model_json_schema(schema_generator=_WithoutTitles)
    tidy: Schema = _tidied(schema)
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": dialect, **tidy, "title": "An experiment of fcnet-sweep"}


def schema_text(schema: Schema) -> str:
    """The text of the schema's file."""
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


def _tidied(node: Any) -> Any:
    """The same with each description on one line, and no default of a whole section."""
    if isinstance(node, list):
        return [_tidied(item) for item in node]
    if not isinstance(node, dict):
        return node
    tidy = {key: _tidied(value) for key, value in node.items()}
    if isinstance(tidy.get("description"), str):
        tidy["description"] = " ".join(tidy["description"].split())
    if isinstance(tidy.get("default"), dict):
        del tidy["default"]
    return tidy
