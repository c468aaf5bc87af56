"""The random sample of released drafts: chances by score, and who is drawn."""

import polars as pl
import pytest

from prebill.core.errors import PolicyError
from prebill.core.policy.model import Policy
from prebill.core.policy.sampling import LEAST_SHARE, Sampling, parse_sampling

STRATIFIED = Sampling(0.01, strata={0.5: 0.05, 0.9: 0.2})


def released(count: int, chance: float) -> pl.DataFrame:
    return pl.DataFrame(
        {"draft_id": [f"d{number}" for number in range(count)]},
    ).with_columns(draft_version=pl.lit("v1"), sample_propensity=pl.lit(chance))


def test_chance_grows_with_the_score_and_is_highest_where_it_is_unknown() -> None:
    scores = pl.DataFrame({"score": [0.0, 0.49, 0.5, 0.89, 0.9, 1.0, None]})
    chances = scores.select(STRATIFIED.propensity(pl.col("score")).alias("chance"))["chance"]
    assert chances.to_list() == [0.01, 0.01, 0.05, 0.05, 0.2, 0.2, 0.2]


def test_draw_has_the_share_that_it_says() -> None:
    drawn = STRATIFIED.drawn(released(100_000, 0.05), "p").height
    assert abs(drawn - 5_000) < 4 * (100_000 * 0.05 * 0.95) ** 0.5


def test_draw_is_the_same_again_and_another_by_version_and_policy() -> None:
    drafts = released(2_000, 0.1)
    drawn = STRATIFIED.drawn(drafts, "p")
    assert STRATIFIED.drawn(drafts.reverse(), "p").sort("draft_id").equals(drawn.sort("draft_id"))
    others = (
        STRATIFIED.drawn(drafts, "q"),
        STRATIFIED.drawn(drafts.with_columns(draft_version=pl.lit("v2")), "p"),
    )
    for other in others:
        both = other.join(drawn, on="draft_id", how="semi").height
        assert both < 50  # a tenth of 200 by chance


def test_what_was_not_released_is_never_drawn() -> None:
    held = released(100, 1.0).with_columns(sample_propensity=pl.lit(None, dtype=pl.Float64))
    assert STRATIFIED.drawn(held, "p").is_empty()


def test_default_policy_samples_more_of_higher_scores() -> None:
    sampling = Policy.default().sampling
    assert sampling.share == LEAST_SHARE
    assert list(sampling.strata.values()) == sorted(sampling.strata.values())


def test_policy_without_the_section_samples_the_least_share() -> None:
    assert parse_sampling(None) == Sampling(LEAST_SHARE)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"share": 0.001}, "outside 0.005"),
        ({"due_hours": 0}, "outside 1"),
        ({"often": True}, "exactly"),
        ({"strata": {}}, "must be a list"),
        ({"strata": [{"from_score": 0.5}]}, "exactly"),
        ({"strata": [{"from_score": 0.5, "share": 0.006}]}, "must grow"),
        (
            {
                "strata": [
                    {"from_score": 0.9, "share": 0.03},
                    {"from_score": 0.5, "share": 0.1},
                ]
            },
            "must grow",
        ),
        ({"strata": [{"from_score": 1.5, "share": 0.1}]}, "outside 0.0 to 1.0"),
    ],
)
def test_section_that_can_not_be_meant_is_refused(changed: dict[str, object], said: str) -> None:
    section = {"share": 0.01, "due_hours": 24, "strata": []} | changed
    with pytest.raises(PolicyError, match=said):
        parse_sampling(section)
