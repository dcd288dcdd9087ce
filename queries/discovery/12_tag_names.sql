-- What is each tag called in a tag set, which may hold absent tags as well?
-- reads: vocabulary
-- parameter max_absent: how many tags of a set may be absent
-- parameter last_tag: the largest tag_id of a tag
-- returns: tag_id, name ("water", "not water"), tag, present (1 or 0); absent tags after all others
select tag_id, tag as name, tag, 1 as present
from vocabulary
{% if max_absent %}

union all

select tag_id + {{ last_tag }} as tag_id, 'not ' || tag as name, tag, 0 as present
from vocabulary
{% endif %}
