-- Which failure modes trip a gate, and which ones can it not judge?
-- reads: judged
-- parameter condition: a condition over its columns, one SQL expression
-- parameter named: those of its columns that may be null
-- returns: outcome (tripped; or undecided where a column that the condition names is not known),
--    and the columns of judged; no row where the condition is false
select
    case
        when
            ({{ condition }}
            )
{% for name in named %}
            and {{ name | identifier }} is not null
{% endfor %}
            then 'tripped'
        else 'undecided'
    end as outcome,
    *
from judged
where
    ({{ condition }}
    ) is not false
order by excess_errors desc, class_name, tags, mode_id
