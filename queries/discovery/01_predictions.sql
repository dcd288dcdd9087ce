-- Which prediction belongs to which class, and is it wrong?
-- reads: source_predictions (the user's table, its columns renamed)
-- parameter group_by: the columns whose values make the class
-- parameter error: SQL condition that is true where the model is wrong, or none
-- parameter where: SQL condition that keeps a row, or none
-- parameter label: its column of labels, or none
-- parameter prediction: its column of predictions, or none
-- parameter compared = 'text': what a label and a prediction are compared as: text (or the type that
--    both have), double or boolean
-- returns: image_id, label, prediction, class_name, error (1 wrong, 0 right, null unknown);
--    one row for each row of the source that `where` keeps
select
    cast(image_id as varchar) as image_id,
    {{ "cast(" ~ label ~ " as varchar)" if label else "cast(null as varchar)" }} as label,
    {{ "cast(" ~ prediction ~ " as varchar)" if prediction else "cast(null as varchar)" }} as prediction,
{% if group_by | length == 1 %}
    cast({{ group_by[0] | identifier }} as varchar) as class_name,
{% else %}
    -- Backslashes keep ('a | b', 'c') and ('a', 'b | c') apart.
{% for column in group_by %}
    {{ "" if loop.first else "|| ' | ' || " }}replace(replace(cast({{ column | identifier }} as varchar), '\', '\\'), '|', '\|')
{% endfor %}
        as class_name,
{% endif %}
{% if error is none and compared == 'text' %}
    case when {{ label }} <> {{ prediction }} then 1 when {{ label }} = {{ prediction }} then 0 end as error
{% elif error is none %}
    case
        when cast({{ label }} as {{ compared }}) <> cast({{ prediction }} as {{ compared }}) then 1
        when cast({{ label }} as {{ compared }}) = cast({{ prediction }} as {{ compared }}) then 0
    end as error
{% else %}
    case when {{ error }} then 1 when not ({{ error }}) then 0 end as error
{% endif %}
from source_predictions
{% if where is not none %}
where {{ where }}
{% endif %}
