"""Searches that are compiled."""

CASES = [
    {},
    {"max_absent": 1},
    {"max_tags": 1, "group_by": ("prediction",)},
    {"group_by": ("region", "label"), "where": "split = 'test'", "min_images": 2},
    {"error": "prediction <> label and region = 'north'", "min_tag_images": 5},
    {"min_score": 0.55},
]

OPTIONS = {
    "max_tags": 3,
    "max_absent": 1,
    "label": "truth",
    "group_by": ("camera", "label"),
    "where": "split = 'test'",
    "min_score": 0.5,
}
