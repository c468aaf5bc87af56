"""Cases: priority in money per reviewer minute."""
