-- Which settings did each model have when it filled its table? Every statement can run again.
-- reads: nothing
-- returns: nothing; makes model_settings and its comments
create table if not exists model_settings (
    step varchar not null,
    table_name varchar not null,
    model varchar not null,
    settings varchar not null
);
comment on table model_settings is 'The settings of each model or tagger when it filled its table; results of different settings are not mixed';
comment on column model_settings.step is 'embed, tag or predict';
comment on column model_settings.table_name is 'The table that it filled';
comment on column model_settings.model is 'The model or tagger, as in that table';
comment on column model_settings.settings is 'What its results depend on, JSON object';
