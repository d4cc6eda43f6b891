"""The screens, on Textual. Everything that they show comes from the rooms beside this one."""
