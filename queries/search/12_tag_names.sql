-- What is each tag called in a tag set, where a set may hold absent tags, too?
-- reads: vocabulary
-- parameter max_absent: how many tags of a set may be absent ones
-- parameter last_tag: the largest tag_id of a tag
-- returns: tag_id, name ("water", "not water"), tag, present (1 or 0); absent tags after all others
select tag_id, tag as name, tag, 1 as present
from vocabulary
{% if max_absent %}

union all

select tag_id + {{ last_tag }} as tag_id, 'not ' || tag as name, tag, 0 as present
from vocabulary
{% endif %}
