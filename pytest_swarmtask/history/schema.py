"""The tables of the history, and the views that people and other tools may rely on.

Tables have singular names and may change with the schema's version. Views have plural names, are documented in
docs/history.md, and do not change.
"""

from __future__ import annotations

LOCAL_PROJECT = 1
"""The key of the project whose own history this is. The history of a server has others."""

_DROP_VIEWS = (
    ";\n".join(
        f"DROP VIEW IF EXISTS {view}" for view in ("runs", "spans", "events", "tests", "failures", "flaky", "slowest")
    )
    + ";"
)
"""Views are dropped before the tables that they show are changed, and made again at the end (`VIEWS`)."""

_RUN_OF_3 = """trace_id, stale, started, ended, duration, outcome, roots, command, branch, "commit", dirty, environment,
        ci, ci_url, host, python, coverage, tests, passed, failed, errors, crashed, skipped, xfailed, xpassed,
        unfinished, teardown_errors, partial, scope, testing, ci_run, variants, superseded"""
"""The columns of the table `run` in version 3, apart from its key."""

MIGRATIONS = (
    """
    CREATE TABLE run (
        id INTEGER PRIMARY KEY, trace_id TEXT NOT NULL UNIQUE, stale INTEGER NOT NULL DEFAULT 1,
        started TEXT, ended TEXT, duration REAL, outcome TEXT, roots TEXT, command TEXT,
        branch TEXT, "commit" TEXT, dirty INTEGER, environment TEXT, ci TEXT, ci_url TEXT, host TEXT, python TEXT,
        coverage REAL, tests INTEGER NOT NULL DEFAULT 0, passed INTEGER NOT NULL DEFAULT 0,
        failed INTEGER NOT NULL DEFAULT 0, errors INTEGER NOT NULL DEFAULT 0, crashed INTEGER NOT NULL DEFAULT 0,
        skipped INTEGER NOT NULL DEFAULT 0, xfailed INTEGER NOT NULL DEFAULT 0, xpassed INTEGER NOT NULL DEFAULT 0,
        unfinished INTEGER NOT NULL DEFAULT 0, teardown_errors INTEGER NOT NULL DEFAULT 0
    );
    CREATE INDEX run_started ON run (started);
    CREATE INDEX run_stale ON run (id) WHERE stale;
    CREATE TABLE task (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL, UNIQUE (kind, name));
    CREATE TABLE span (
        id INTEGER PRIMARY KEY, run INTEGER NOT NULL, span_id TEXT NOT NULL, parent TEXT, kind TEXT NOT NULL,
        task INTEGER NOT NULL, started TEXT NOT NULL, ended TEXT, status TEXT, failed INTEGER NOT NULL DEFAULT 0,
        duration REAL, error TEXT, place TEXT, phase TEXT, attempt INTEGER, worker TEXT, exit_code INTEGER,
        command TEXT, teardown_error TEXT, UNIQUE (run, span_id)
    );
    CREATE INDEX span_task ON span (task, started);
    CREATE INDEX span_open ON span (run) WHERE ended IS NULL;
    CREATE INDEX span_failed ON span (run, task) WHERE failed = 1;
    CREATE INDEX span_repeated ON span (run, task) WHERE attempt > 1;
    CREATE TABLE event (id INTEGER PRIMARY KEY, run INTEGER NOT NULL, event_id TEXT NOT NULL, line TEXT NOT NULL,
        UNIQUE (run, event_id)
    );
    CREATE TABLE segment (name TEXT PRIMARY KEY, offset INTEGER NOT NULL, events INTEGER NOT NULL,
        foreign_lines INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE note (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
    """,
    """
    ALTER TABLE span ADD COLUMN tests INTEGER;
    ALTER TABLE span ADD COLUMN partial INTEGER;
    ALTER TABLE run ADD COLUMN partial INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE run ADD COLUMN scope TEXT;
    ALTER TABLE run ADD COLUMN testing REAL;
    CREATE INDEX span_session ON span (run) WHERE tests IS NOT NULL;
    UPDATE span SET partial = 0, tests = (
        SELECT json_extract(line, '$.metadata.tests') FROM event
        WHERE event.run = span.run AND json_extract(line, '$.span_id') = span.span_id
          AND json_extract(line, '$.metadata.action') = 'session' ORDER BY event.id DESC LIMIT 1
    ) WHERE kind = 'TASK' AND ended IS NOT NULL;
    UPDATE run SET stale = 1;
    """,
    f"""
    {_DROP_VIEWS}
    CREATE TABLE trace (trace_id TEXT PRIMARY KEY, run INTEGER NOT NULL, started TEXT) WITHOUT ROWID;
    INSERT INTO trace SELECT trace_id, id, started FROM run;
    CREATE INDEX trace_run ON trace (run);
    ALTER TABLE run ADD COLUMN ci_run TEXT;
    ALTER TABLE run ADD COLUMN variants TEXT NOT NULL DEFAULT '';
    ALTER TABLE run ADD COLUMN superseded INTEGER NOT NULL DEFAULT 0;
    CREATE UNIQUE INDEX run_ci_run ON run (ci_run) WHERE ci_run IS NOT NULL;
    ALTER TABLE span ADD COLUMN job TEXT;
    ALTER TABLE span ADD COLUMN job_run TEXT;
    ALTER TABLE span ADD COLUMN superseded INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX span_job ON span (run) WHERE job IS NOT NULL;
    CREATE INDEX span_superseded ON span (run) WHERE superseded = 1;
    DROP INDEX span_task;
    CREATE INDEX span_task ON span (task, started, run, failed, status, attempt, superseded);
    CREATE TABLE evidence (span INTEGER PRIMARY KEY, exception TEXT, fingerprint TEXT, detail TEXT);
    CREATE INDEX evidence_fingerprint ON evidence (fingerprint) WHERE fingerprint IS NOT NULL;
    CREATE TABLE old_variant (run INTEGER, span_id TEXT, variant TEXT, PRIMARY KEY (run, span_id)) WITHOUT ROWID;
    INSERT OR IGNORE INTO old_variant
    SELECT run, json_extract(line, '$.span_id'), trim(
        coalesce(json_extract(line, '$.metadata.ci_job'), '') || ' ' || json_extract(line, '$.metadata.implementation')
        || '-' || rtrim(rtrim(json_extract(line, '$.metadata.python'), '0123456789abcrv+'), '.')
        || '-' || json_extract(line, '$.metadata.platform'))
    FROM event
    WHERE line LIKE '%"event_type":"TASK_STARTED"%' AND json_extract(line, '$.metadata.action') = 'session'
      AND json_extract(line, '$.metadata.python') LIKE '%.%.%'
      AND json_extract(line, '$.metadata.platform') IS NOT NULL
      AND json_extract(line, '$.metadata.implementation') IS NOT NULL;
    CREATE TABLE new_task (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL,
        variant TEXT NOT NULL DEFAULT '', UNIQUE (kind, name, variant)
    );
    INSERT INTO new_task SELECT id, kind, name, '' FROM task;
    INSERT OR IGNORE INTO new_task (kind, name, variant)
    SELECT task.kind, task.name, variant FROM old_variant
    JOIN span ON span.run = old_variant.run AND old_variant.span_id IN (span.span_id, span.parent)
    JOIN task ON task.id = span.task;
    UPDATE span SET task = coalesce((
        SELECT new_task.id FROM old_variant JOIN task ON task.id = span.task
        JOIN new_task ON new_task.kind = task.kind AND new_task.name = task.name
                     AND new_task.variant = old_variant.variant
        WHERE old_variant.run = span.run AND old_variant.span_id IN (span.span_id, span.parent)
    ), task);
    DROP TABLE old_variant;
    DROP TABLE task;
    ALTER TABLE new_task RENAME TO task;
    DELETE FROM task WHERE NOT EXISTS (SELECT 1 FROM span WHERE span.task = task.id);
    CREATE TABLE shared_cause (run INTEGER NOT NULL, cause TEXT, variant TEXT, tests INTEGER NOT NULL);
    CREATE INDEX shared_cause_run ON shared_cause (run);
    CREATE TABLE flaky_test (task INTEGER PRIMARY KEY, score REAL NOT NULL, failed INTEGER NOT NULL,
        runs INTEGER NOT NULL, is_open INTEGER NOT NULL, repeated INTEGER NOT NULL, one_commit INTEGER NOT NULL,
        flips INTEGER NOT NULL, why TEXT, started TEXT, run INTEGER
    );
    CREATE INDEX flaky_test_run ON flaky_test (run);
    CREATE TABLE flaky_run (task INTEGER NOT NULL, run INTEGER NOT NULL, PRIMARY KEY (task, run)) WITHOUT ROWID;
    CREATE INDEX flaky_run_run ON flaky_run (run);
    UPDATE run SET stale = 1;
    """,
    f"""
    {_DROP_VIEWS}
    CREATE TABLE project (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, removals INTEGER NOT NULL DEFAULT 0,
        pruned REAL
    );
    INSERT INTO project (id, name) VALUES ({LOCAL_PROJECT}, '');
    CREATE TABLE new_run (
        id INTEGER PRIMARY KEY, project INTEGER NOT NULL, trace_id TEXT NOT NULL, stale INTEGER NOT NULL DEFAULT 1,
        started TEXT, ended TEXT, duration REAL, outcome TEXT, roots TEXT, command TEXT,
        branch TEXT, "commit" TEXT, dirty INTEGER, environment TEXT, ci TEXT, ci_url TEXT, host TEXT, python TEXT,
        coverage REAL, tests INTEGER NOT NULL DEFAULT 0, passed INTEGER NOT NULL DEFAULT 0,
        failed INTEGER NOT NULL DEFAULT 0, errors INTEGER NOT NULL DEFAULT 0, crashed INTEGER NOT NULL DEFAULT 0,
        skipped INTEGER NOT NULL DEFAULT 0, xfailed INTEGER NOT NULL DEFAULT 0, xpassed INTEGER NOT NULL DEFAULT 0,
        unfinished INTEGER NOT NULL DEFAULT 0, teardown_errors INTEGER NOT NULL DEFAULT 0,
        partial INTEGER NOT NULL DEFAULT 0, scope TEXT, testing REAL, ci_run TEXT, variants TEXT NOT NULL DEFAULT '',
        superseded INTEGER NOT NULL DEFAULT 0, UNIQUE (project, trace_id)
    );
    INSERT INTO new_run (id, project, {_RUN_OF_3})
    SELECT id, {LOCAL_PROJECT}, {_RUN_OF_3} FROM run;
    DROP TABLE run;
    ALTER TABLE new_run RENAME TO run;
    CREATE INDEX run_started ON run (project, started);
    CREATE INDEX run_branch ON run (project, branch, started);
    CREATE INDEX run_stale ON run (project, id) WHERE stale = 1;
    CREATE UNIQUE INDEX run_ci_run ON run (project, ci_run) WHERE ci_run IS NOT NULL;
    CREATE TABLE new_trace (project INTEGER NOT NULL, trace_id TEXT NOT NULL, run INTEGER NOT NULL, started TEXT,
        PRIMARY KEY (project, trace_id)
    ) WITHOUT ROWID;
    INSERT INTO new_trace SELECT {LOCAL_PROJECT}, trace_id, run, started FROM trace;
    DROP TABLE trace;
    ALTER TABLE new_trace RENAME TO trace;
    CREATE INDEX trace_run ON trace (run);
    CREATE TABLE new_task (id INTEGER PRIMARY KEY, project INTEGER NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL,
        variant TEXT NOT NULL DEFAULT '', UNIQUE (project, name, kind, variant)
    );
    INSERT INTO new_task (id, project, kind, name, variant) SELECT id, {LOCAL_PROJECT}, kind, name, variant FROM task;
    DROP TABLE task;
    ALTER TABLE new_task RENAME TO task;
    DROP TABLE note;
    ALTER TABLE event ADD COLUMN day INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE span ADD COLUMN orphaned INTEGER NOT NULL DEFAULT 0;
    """,
    """
    ALTER TABLE run ADD COLUMN changes INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE evidence ADD COLUMN failed_run INTEGER;
    UPDATE evidence SET failed_run = (SELECT run FROM span WHERE span.id = evidence.span AND failed = 1);
    DROP INDEX evidence_fingerprint;
    CREATE INDEX evidence_error ON evidence (fingerprint, failed_run) WHERE failed_run IS NOT NULL;
    """,
    """
    ALTER TABLE project ADD COLUMN evaluated INTEGER;
    CREATE TABLE memory (project INTEGER NOT NULL, scope TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,
        changed REAL NOT NULL, PRIMARY KEY (project, scope, key)
    ) WITHOUT ROWID;
    """,
    """
    ALTER TABLE run ADD COLUMN quarantined INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE run ADD COLUMN dependencies TEXT;
    ALTER TABLE run ADD COLUMN ci_image TEXT;
    ALTER TABLE run ADD COLUMN default_branch TEXT;
    ALTER TABLE span ADD COLUMN split TEXT;
    ALTER TABLE span ADD COLUMN software TEXT;
    ALTER TABLE span ADD COLUMN tasks TEXT;
    CREATE INDEX span_tasks ON span (run, task) WHERE tasks IS NOT NULL;
    CREATE INDEX span_quarantined ON span (run, task) WHERE status = 'quarantined';
    """,
)
"""One script for each version of the schema. It changes the version before into this one; the first starts from an
empty file. A script that was released never changes: files of its version exist."""

VERSION = len(MIGRATIONS)

EVENTS = """
SELECT event_id AS id, json_extract(line, '$.event_type') AS event_type, json_extract(line, '$.task_id') AS task_id,
       json_extract(line, '$.status') AS status, json_extract(line, '$.timestamp') AS timestamp, run.trace_id AS run,
       json_extract(line, '$.span_id') AS span_id, json_extract(line, '$.metadata') AS metadata, project.name AS project
FROM {source} AS event JOIN run ON run.id = event.run JOIN project ON project.id = run.project"""
"""The columns of the view `events`, of any rows that have the columns of the table `event`."""

VIEWS = f"""
DROP VIEW IF EXISTS runs;
CREATE VIEW runs AS
SELECT trace_id AS run, started, ended, duration, outcome, roots AS what, command, branch, "commit", dirty, environment,
       ci, ci_url, host, python, coverage, tests, passed, failed, errors, crashed, skipped, xfailed, xpassed,
       unfinished, teardown_errors, partial, testing, ci_run, variants, superseded, project.name AS project,
       quarantined, dependencies, ci_image
FROM run JOIN project ON project.id = run.project ORDER BY started DESC;

DROP VIEW IF EXISTS spans;
CREATE VIEW spans AS
SELECT run.trace_id AS run, span_id, parent AS parent_span_id, span.kind, task.name AS task_id, span.started,
       span.ended, coalesce(span.status, 'started') AS status, span.failed, span.duration, error, place, phase,
       attempt, worker, exit_code, span.command, task.variant, job, job_run, span.superseded, project.name AS project
FROM span JOIN run ON run.id = span.run JOIN task ON task.id = span.task JOIN project ON project.id = run.project;

DROP VIEW IF EXISTS events;
CREATE VIEW events AS {EVENTS.format(source="event")};

DROP VIEW IF EXISTS tests;
CREATE VIEW tests AS
SELECT task.name AS test, coalesce(span.status, 'unfinished') AS outcome, span.duration, span.started, run.branch,
       run."commit", run.trace_id AS run, attempt, worker, phase, error, place, task.variant, span.superseded,
       exception, fingerprint, project.name AS project
FROM span JOIN run ON run.id = span.run JOIN task ON task.id = span.task JOIN project ON project.id = run.project
LEFT JOIN evidence ON evidence.span = span.id
WHERE span.kind = 'TEST';

DROP VIEW IF EXISTS failures;
CREATE VIEW failures AS
SELECT run.trace_id AS run, span.started, span.kind, task.name AS task_id, span.status AS outcome, span.duration,
       error, place, run.branch, run."commit", task.variant, exception, fingerprint, project.name AS project
FROM span JOIN run ON run.id = span.run JOIN task ON task.id = span.task JOIN project ON project.id = run.project
LEFT JOIN evidence ON evidence.span = span.id
WHERE span.failed = 1 AND span.superseded = 0
  AND NOT EXISTS (SELECT 1 FROM span AS below
                  WHERE below.run = span.run AND below.failed = 1 AND below.parent = span.span_id);

DROP VIEW IF EXISTS flaky;
CREATE VIEW flaky AS
SELECT task.name AS test, run.trace_id AS run, run."commit", run.branch, flaky_test.started, why, task.variant, score,
       CAST(flaky_test.failed AS DOUBLE PRECISION) / runs AS share, flaky_test.failed, runs, repeated, one_commit,
       flips, project.name AS project
FROM flaky_test JOIN task ON task.id = flaky_test.task JOIN run ON run.id = flaky_test.run
JOIN project ON project.id = run.project
WHERE flaky_test.failed > 0 ORDER BY score DESC, task.name, task.variant;

DROP VIEW IF EXISTS slowest;
CREATE VIEW slowest AS
SELECT task.name AS test, count(*) AS times, avg(span.duration) AS mean, max(span.duration) AS longest, task.variant,
       project.name AS project
FROM (SELECT id, project, row_number() OVER (PARTITION BY project ORDER BY started DESC) AS number
      FROM run WHERE tests > 0) AS recent
JOIN span ON span.run = recent.id JOIN task ON task.id = span.task JOIN project ON project.id = recent.project
WHERE recent.number <= 20 AND span.kind = 'TEST' AND span.duration IS NOT NULL
GROUP BY task.id, project.id ORDER BY mean DESC;
"""
