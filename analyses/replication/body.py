"""Compares a study's arms as its plan says."""

from __future__ import annotations

from analyses.replication import ReplicationSettings
from analyses.replication.figure import figure
from analyses.replication.ladder import ladder
from analyses.replication.result import Contrast, ReplicationResult
from analyses.replication.words import summary, to_json
from interp.support.errors import UserError
from interp.support.progress import Progress
from training.studies.comparison import compare, fisher_exact, holm
from training.studies.results import StudyResults

__all__ = ["compute", "figure", "summary", "to_json"]  # see analyses.experiment


def compute(
    subject: StudyResults, settings: ReplicationSettings, seed: int, progress: Progress
) -> ReplicationResult:
    """Compare the arms as the plan says.

    Args:
        seed: of bootstraps and random permutations.

    Raises:
        UserError: if the study has no runs at all.
    """
    study = subject
    if not study.runs:
        raise UserError(f"study {study.plan.name} has no runs yet; start them with training.study")
    outcomes = {arm.name: study.outcome(arm.name) for arm in study.plan.arms}
    pairs = [
        (arm.name, other)
        for arm in study.plan.arms
        for other in arm.against
        if outcomes[arm.name].n and outcomes[other].n
    ]
    compared = [compare(outcomes[one], outcomes[other], seed) for one, other in pairs]
    corrected = holm([comparison.fisher_p for comparison in compared])
    contrasts = []
    for (one, other), comparison, p in zip(pairs, compared, corrected, strict=True):
        ours, theirs = outcomes[one], outcomes[other]
        # Holm's correction of the smallest p is by the number of comparisons.
        least = min(1.0, len(pairs) * fisher_exact(ours.n, ours.n, 0, theirs.n))
        more = ours.convergent() * theirs.n > theirs.convergent() * ours.n
        contrasts.append(
            Contrast(
                arm=one,
                against=other,
                comparison=comparison,
                fisher_holm=p,
                least_p=least,
                more=more,
            )
        )
    rungs = () if settings.alone else ladder([study, *study.beside], seed)
    return ReplicationResult(study, tuple(contrasts), seed, rungs)
