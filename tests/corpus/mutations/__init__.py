"""Healthy base programs, and one fault at a time, or two, planted in them at graded strengths."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from tests.corpus.mutations import estimators
from tests.corpus.mutations.bases import BASES
from tests.corpus.mutations.changes import Mutation
from tests.corpus.mutations.decisions import DECISION_FAULTS
from tests.corpus.mutations.doubles import DOUBLE_FAULTS
from tests.corpus.mutations.labels import LABEL_FAULTS
from tests.corpus.mutations.models import MODEL_FAULTS
from tests.corpus.mutations.recipe import Recipe, build
from tests.corpus.mutations.splits import SPLIT_FAULTS
from tests.corpus.mutations.training import TRAINING_FAULTS
from tests.corpus.program import Program

HARM_IS_MEASURED = (*MODEL_FAULTS, *TRAINING_FAULTS)
MUTATIONS = (
    *(replace(mutation, measured=True) for mutation in HARM_IS_MEASURED),
    *LABEL_FAULTS,
    *SPLIT_FAULTS,
    *DECISION_FAULTS,
    *DOUBLE_FAULTS,
)


def base_program(recipe: Recipe) -> Program:
    """The healthy program that the mutants of a base are compared with."""
    name = f"base-{recipe.name}"
    return Program(name, name, partial(build, recipe), healthy=True)


def mutant(mutation: Mutation, recipe: Recipe) -> Program:
    """A base program with a fault planted."""
    return Program(
        f"{recipe.name}+{mutation.name}",
        f"base-{recipe.name}",
        partial(build, mutation.change(recipe)),
        mutation.truth,
        mutation.allowed,
        parent=f"base-{recipe.name}",
        measured=mutation.measured,
    )


PROGRAMS: tuple[Program, ...] = (
    *map(base_program, BASES.values()),
    *(mutant(mutation, BASES[base]) for mutation in MUTATIONS for base in mutation.bases),
    *estimators.PROGRAMS,
)
