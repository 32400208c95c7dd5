"""What an account taught its server about wanted and unwanted mail. It can't be made anew from the mail."""
