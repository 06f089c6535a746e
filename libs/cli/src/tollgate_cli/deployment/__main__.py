"""`python -m tollgate_cli.deployment DIRECTORY`: the secrets of docker-compose.yml."""

import sys

from tollgate_cli.deployment.secrets import main

sys.exit(main())
