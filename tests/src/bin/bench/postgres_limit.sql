-- Writes lingpai's pushes into a second table of the same form, inside the server, so that no
-- client and no network is part of it. Variables: rows (in a commit), commits (at most).
-- Prints: pushes in lingpai's table, rows written, seconds.
SET client_min_messages = warning;
DROP TABLE IF EXISTS limit_target, limit_source;
CREATE TABLE limit_target (LIKE pushes INCLUDING ALL);
CREATE TABLE limit_source AS
  SELECT (row_number() OVER (ORDER BY id) - 1) / :rows AS batch, pushes AS push FROM pushes;
CREATE INDEX ON limit_source (batch);
ANALYZE limit_source;
SELECT count(*) AS stored, least(max(batch), :commits - 1) AS last FROM limit_source \gset
SELECT set_config('limit.last', :'last', false) AS done \gset
CHECKPOINT;
SELECT extract(epoch FROM clock_timestamp()) AS began \gset
DO $$
BEGIN
  FOR number IN 0..current_setting('limit.last')::int LOOP
    INSERT INTO limit_target SELECT (push).* FROM limit_source WHERE batch = number;
    COMMIT;
  END LOOP;
END
$$;
SELECT extract(epoch FROM clock_timestamp()) AS ended \gset
SELECT :stored, count(*), (:ended)::numeric - (:began)::numeric FROM limit_target;
