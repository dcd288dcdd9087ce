"""The counts of a tag set, by brute force."""


def counted(predictions, tags, key, chosen):
    """Images and errors with the tags of a mode, and of its class; None where not known."""
    class_name, names = key
    carried = {}
    for image, tag in tags:
        carried.setdefault(image, set()).add(tag)
    rows = [
        (carried.get(image, set()), label != guess)
        for image, label, guess in predictions
        if label == class_name
    ]
    if not rows:
        return None, None, None, None
    totals = len(rows), sum(error for _, error in rows)
    for name in names:
        support = sum(name.removeprefix("not ") in own for own, _ in rows)
        if support < (chosen["min_tag_images"] or chosen["min_images"]):
            return None, None, *totals
    errors = [
        error
        for own, error in rows
        if all((name.removeprefix("not ") in own) != name.startswith("not ") for name in names)
    ]
    return len(errors), sum(errors), *totals
