-- Writes lingpai's events with their deliveries into second tables of the same form, inside the server,
-- so that no client and no network is part of it. Variables: rows (events in a commit), commits (at
-- most). Prints: events in lingpai's table that WeChat pushed, events written, seconds.
SET client_min_messages = warning;
DROP TABLE IF EXISTS limit_events, limit_deliveries, source_events, source_deliveries;
CREATE TABLE limit_events (LIKE events INCLUDING ALL);
CREATE TABLE limit_deliveries (LIKE deliveries INCLUDING ALL);
CREATE TABLE source_events AS
  SELECT (row_number() OVER (ORDER BY id) - 1) / :rows AS batch, id, events AS event
  FROM events WHERE payload_sealed IS NOT NULL;
CREATE TABLE source_deliveries AS
  SELECT batch, deliveries AS delivery
  FROM deliveries JOIN source_events ON deliveries.event_id = source_events.id;
CREATE INDEX ON source_events (batch);
CREATE INDEX ON source_deliveries (batch);
ANALYZE source_events, source_deliveries;
SELECT count(*) AS stored, least(max(batch), :commits - 1) AS last FROM source_events \gset
SELECT set_config('limit.last', :'last', false) AS done \gset
CHECKPOINT;
SELECT extract(epoch FROM clock_timestamp()) AS began \gset
DO $$
BEGIN
  FOR number IN 0..current_setting('limit.last')::int LOOP
    INSERT INTO limit_events SELECT (event).* FROM source_events WHERE batch = number;
    INSERT INTO limit_deliveries SELECT (delivery).* FROM source_deliveries WHERE batch = number;
    COMMIT;
  END LOOP;
END
$$;
SELECT extract(epoch FROM clock_timestamp()) AS ended \gset
SELECT :stored, count(*), (:ended)::numeric - (:began)::numeric FROM limit_events;
