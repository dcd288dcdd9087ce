-- Which tag sets are success modes? The failure modes of a search that treats right images as errors.
-- reads: failure_modes (of the session)
-- parameter run_id: the run
-- returns: run_id, mode_id, class_name, tags, tag_count, images, errors, accuracy, class_images,
--    class_errors, class_accuracy, accuracy_gain (accuracy - class_accuracy)
select
    {{ run_id }} as run_id,
    mode_id,
    class_name,
    tags,
    tag_count,
    images,
    images - errors as errors,
    cast(errors as double) / images as accuracy,
    class_images,
    class_images - class_errors as class_errors,
    cast(class_errors as double) / class_images as class_accuracy,
    accuracy_drop as accuracy_gain
from failure_modes
