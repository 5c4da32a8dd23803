-- Two databases, since Optuna and MLflow both keep a table named alembic_version.
-- Each has a user of its own, who cannot enter the other.
\getenv optuna_password OPTUNA_PASSWORD
CREATE ROLE optuna LOGIN PASSWORD :'optuna_password';
CREATE DATABASE optuna OWNER optuna;
REVOKE ALL ON DATABASE optuna FROM PUBLIC;

\getenv mlflow_password MLFLOW_DATABASE_PASSWORD
CREATE ROLE mlflow LOGIN PASSWORD :'mlflow_password';
CREATE DATABASE mlflow OWNER mlflow;
REVOKE ALL ON DATABASE mlflow FROM PUBLIC;
