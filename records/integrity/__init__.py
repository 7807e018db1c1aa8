"""Reading past damage: findings, and every intact record of a damaged stream."""
