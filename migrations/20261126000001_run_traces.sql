-- Joins SQL with traces: which trace a run is told in, where OTLP is on. Both are null for runs that are told in none, and for
-- all runs of a program before this version, which knows neither column.

ALTER TABLE agent.runs
    ADD COLUMN trace_id    text,
    ADD COLUMN traceparent text;

COMMENT ON COLUMN agent.runs.trace_id IS 'The OpenTelemetry trace that it is told in: 32 hexadecimal digits; null where it is told in none.';
COMMENT ON COLUMN agent.runs.traceparent IS 'The W3C trace context that its query came with, for the process that runs it; null where there was none.';
