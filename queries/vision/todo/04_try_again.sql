-- Which problems does this run of the step try again?
-- reads: to_do, image_problems
-- parameter step: the step
-- parameter model: its model or tagger, or empty
-- returns: nothing; forgets the problems of the images that the step tries again
delete from image_problems
where
    step = {{ step | literal }}
    and model = {{ model | literal }}
    and image_id in (select image_id from to_do);
