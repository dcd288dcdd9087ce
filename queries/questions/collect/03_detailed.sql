-- Which failure modes have a card? Those of the cover first, then by excess errors.
-- reads: families, cover
-- parameter cards: how many
-- returns: card (from 1), mode_id
with ranked as (
    select
        row_number() over (order by coalesce(c.rank, 1000000000), f.place) as card,
        f.mode_id as mode_id
    from families as f
    left join cover as c on c.mode_id = f.mode_id
)

select
    card,
    mode_id
from ranked
where card <= {{ cards }}
order by card
