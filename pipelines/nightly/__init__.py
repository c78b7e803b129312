"""The main job: which photos are due, the pipeline graph, waves on this machine, remote runners, deadlines."""
